"""The common workloads in asyncio, for the report to run in turns with the others.

    bench.py list                          names them, as a JSON array
    bench.py <workload> <scale> <workers>  runs one; prints {"operations": …, "nanoseconds": …}

Each does what the workload of the same name in src/workloads does, and checks its result. asyncio has one
thread, whatever the number of workers.
"""

import asyncio
import json
import sys
import time

DIVISORS = {"full": 1, "tenth": 10, "smoke": 100}
divisor = 1
WORKLOADS = {}


def scaled(full):
    return -(-full // divisor)


def workload(function):
    WORKLOADS[function.__name__] = function
    return function


async def timed(operations, body):
    begin = time.perf_counter_ns()
    await body
    return operations, time.perf_counter_ns() - begin


async def value(i):
    return i


@workload
async def spawn_join_seq():
    tasks = scaled(100_000)

    async def body():
        for i in range(tasks):
            assert await asyncio.create_task(value(i)) == i

    return await timed(tasks, body())


@workload
async def spawn_many_local():
    tasks, rounds = 10_000, scaled(10)

    async def body():
        for _ in range(rounds):
            left, done = tasks, asyncio.get_running_loop().create_future()

            async def arrive():
                nonlocal left
                left -= 1
                if left == 0:
                    done.set_result(None)

            kept = [asyncio.create_task(arrive()) for _ in range(tasks)]
            await done
            assert len(kept) == tasks

    return await timed(rounds * tasks, body())


@workload
async def chained_spawn():
    depth, rounds = 1_000, scaled(100)
    kept = set()

    async def link(position, report):
        if position == depth:
            report.set_result(position)
        else:
            task = asyncio.create_task(link(position + 1, report))
            kept.add(task)
            task.add_done_callback(kept.discard)

    async def body():
        for _ in range(rounds):
            report = asyncio.get_running_loop().create_future()
            await link(1, report)
            assert await report == depth

    return await timed(rounds * depth, body())


@workload
async def yield_many():
    tasks, yields = 200, scaled(1_000)

    async def run():
        for _ in range(yields):
            await asyncio.sleep(0)

    async def body():
        await asyncio.gather(*(run() for _ in range(tasks)))

    return await timed(tasks * yields, body())


@workload
async def ping_pong_one():
    trips = scaled(100_000)

    async def body():
        ping, pong = asyncio.Queue(1), asyncio.Queue(1)

        async def other():
            for _ in range(trips):
                await pong.put(await ping.get() + 1)

        task = asyncio.create_task(other())
        for i in range(trips):
            await ping.put(i)
            assert await pong.get() == i + 1
        await task

    return await timed(trips, body())


@workload
async def fork_join_fib():
    n, result = {1: (22, 17_711), 10: (17, 1_597), 100: (12, 144)}[divisor]
    calls = 0

    async def fib(n):
        nonlocal calls
        calls += 1
        if n < 2:
            return n
        left = asyncio.create_task(fib(n - 1))
        right = asyncio.create_task(fib(n - 2))
        return await left + await right

    begin = time.perf_counter_ns()
    assert await asyncio.create_task(fib(n)) == result
    return calls, time.perf_counter_ns() - begin


@workload
async def group_1000():
    children, rounds = 1_000, scaled(100)

    async def body():
        for _ in range(rounds):
            values = await asyncio.gather(*(value(i) for i in range(children)))
            assert sum(values) == children * (children - 1) // 2

    return await timed(rounds * children, body())


async def queue(producers, consumers):
    each = scaled(400_000) // producers
    items = asyncio.Queue(128)

    async def produce():
        for item in range(each):
            await items.put(item)

    async def consume():
        total = 0
        while (item := await items.get()) is not None:
            total += item
        return total

    async def body():
        getting = [asyncio.create_task(consume()) for _ in range(consumers)]
        await asyncio.gather(*(produce() for _ in range(producers)))
        for _ in range(consumers):
            await items.put(None)
        total = sum(await asyncio.gather(*getting))
        assert total == producers * (each * (each - 1) // 2)

    return await timed(each * producers, body())


@workload
async def queue_1_to_1():
    return await queue(1, 1)


@workload
async def queue_4_to_1():
    return await queue(4, 1)


@workload
async def queue_4_to_4():
    return await queue(4, 4)


@workload
async def mutex_contended():
    tasks, each, count = 64, scaled(2_000), 0
    lock = asyncio.Lock()

    async def run():
        nonlocal count
        for _ in range(each):
            async with lock:
                count += 1

    async def body():
        await asyncio.gather(*(run() for _ in range(tasks)))
        assert count == tasks * each

    return await timed(tasks * each, body())


@workload
async def semaphore_contended():
    tasks, permits, each, holders = 64, 4, scaled(1_000), 0
    semaphore = asyncio.Semaphore(permits)

    async def run():
        nonlocal holders
        for _ in range(each):
            async with semaphore:
                holders += 1
                assert holders <= permits
                await asyncio.sleep(0)
                holders -= 1

    async def body():
        await asyncio.gather(*(run() for _ in range(tasks)))

    return await timed(tasks * each, body())


@workload
async def sleep_lateness_1ms():
    sleeps, late = scaled(100), 0
    for _ in range(sleeps):
        begin = time.perf_counter_ns()
        await asyncio.sleep(0.001)
        late += time.perf_counter_ns() - begin - 1_000_000
    return sleeps, late


@workload
async def timers_firing():
    sleepers = scaled(100_000)

    async def body():
        await asyncio.gather(*(asyncio.sleep((1 + i % 50) / 1_000) for i in range(sleepers)))

    return await timed(sleepers, body())


@workload
async def timeout_unused():
    timeouts = scaled(100_000)

    async def second_poll(i):
        await asyncio.sleep(0)
        return i

    async def body():
        for i in range(timeouts):
            assert await asyncio.wait_for(second_poll(i), 60) == i

    return await timed(timeouts, body())


async def echo(connections, full):
    message, trips = 64, scaled(full)

    async def serve(reader, writer):
        while got := await reader.read(message):
            writer.write(got)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    clients = [await asyncio.open_connection(*address) for _ in range(connections)]

    async def ask(reader, writer):
        for trip in range(trips):
            sent = bytes([trip % 256]) * message
            writer.write(sent)
            await writer.drain()
            assert await reader.readexactly(message) == sent
        writer.close()

    async def body():
        await asyncio.gather(*(ask(*client) for client in clients))

    took = await timed(connections * trips, body())
    server.close()
    return took


@workload
async def echo_64():
    return await echo(64, 200)


@workload
async def echo_1():
    return await echo(1, 3_000)


@workload
async def blocking_round_trip():
    trips = scaled(2_000)

    async def body():
        for i in range(trips):
            assert await asyncio.to_thread(lambda: i + 1) == i + 1

    return await timed(trips, body())


def main():
    global divisor
    if sys.argv[1:] == ["list"]:
        print(json.dumps(list(WORKLOADS)))
        return
    name, scale, _workers = sys.argv[1:]
    divisor = DIVISORS[scale]
    operations, nanoseconds = asyncio.run(WORKLOADS[name]())
    print(json.dumps({"operations": operations, "nanoseconds": nanoseconds}))


main()
