// The common workloads in Go, for the report to run in turns with the others.
//
//	main list                          names them, as a JSON array
//	main <workload> <scale> <workers>  runs one; prints {"operations":…,"nanoseconds":…}
//
// Goroutines and channels as a user of Go would write them. Each workload does what the one of the same name
// in src/workloads does, and checks its result.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

type sample struct {
	Operations  int64 `json:"operations"`
	Nanoseconds int64 `json:"nanoseconds"`
}

// A full run divided by this.
var divisor = 1

func scaled(full int) int { return (full + divisor - 1) / divisor }

var workloads = map[string]func() sample{
	"spawn_join_seq":      spawnJoinSeq,
	"spawn_many_local":    spawnMany,
	"chained_spawn":       chainedSpawn,
	"yield_many":          yieldMany,
	"ping_pong_one":       pingPongOne,
	"fork_join_fib":       forkJoinFib,
	"group_1000":          group,
	"queue_1_to_1":        func() sample { return queue(1, 1) },
	"queue_4_to_1":        func() sample { return queue(4, 1) },
	"queue_4_to_4":        func() sample { return queue(4, 4) },
	"mutex_contended":     mutexContended,
	"semaphore_contended": semaphoreContended,
	"sleep_lateness_1ms":  func() sample { return sleepLateness(time.Millisecond) },
	"timers_firing":       timersFiring,
	"timeout_unused":      timeoutUnused,
	"echo_64":             func() sample { return echo(64, 200) },
	"echo_1":              func() sample { return echo(1, 3000) },
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "list" {
		names := []string{}
		for name := range workloads {
			names = append(names, name)
		}
		print(names)
		return
	}
	if len(os.Args) != 4 {
		fail("usage: main list | main <workload> <scale> <workers>")
	}
	run, known := workloads[os.Args[1]]
	if !known {
		fail("no such workload: " + os.Args[1])
	}
	switch os.Args[2] {
	case "full":
	case "tenth":
		divisor = 10
	case "smoke":
		divisor = 100
	default:
		fail("no such scale: " + os.Args[2])
	}
	workers, err := strconv.Atoi(os.Args[3])
	check(err == nil, "workers must be a number")
	runtime.GOMAXPROCS(workers)
	run() // warms up
	print(run())
}

func print(value any) {
	text, err := json.Marshal(value)
	check(err == nil, "it can be written")
	fmt.Println(string(text))
}

func fail(why string) {
	fmt.Fprintln(os.Stderr, why)
	os.Exit(2)
}

func check(holds bool, what string) {
	if !holds {
		panic("wrong result: " + what)
	}
}

func timed(operations int, body func()) sample {
	begin := time.Now()
	body()
	return sample{int64(operations), time.Since(begin).Nanoseconds()}
}

func spawnJoinSeq() sample {
	tasks := scaled(100_000)
	return timed(tasks, func() {
		for i := 0; i < tasks; i++ {
			result := make(chan int, 1)
			go func() { result <- i }()
			check(<-result == i, "the value of the task")
		}
	})
}

func spawnMany() sample {
	const tasks = 10_000
	rounds := scaled(10)
	return timed(rounds*tasks, func() {
		for round := 0; round < rounds; round++ {
			left := int64(tasks)
			done := make(chan struct{})
			for i := 0; i < tasks; i++ {
				go func() {
					if atomic.AddInt64(&left, -1) == 0 {
						close(done)
					}
				}()
			}
			<-done
		}
	})
}

func chainedSpawn() sample {
	const depth = 1_000
	rounds := scaled(100)
	return timed(rounds*depth, func() {
		for round := 0; round < rounds; round++ {
			report := make(chan int, 1)
			go link(1, depth, report)
			check(<-report == depth, "the length of the chain")
		}
	})
}

func link(position, length int, report chan int) {
	if position == length {
		report <- position
	} else {
		go link(position+1, length, report)
	}
}

func yieldMany() sample {
	const tasks = 200
	yields := scaled(1_000)
	return timed(tasks*yields, func() {
		var all sync.WaitGroup
		all.Add(tasks)
		for i := 0; i < tasks; i++ {
			go func() {
				for j := 0; j < yields; j++ {
					runtime.Gosched()
				}
				all.Done()
			}()
		}
		all.Wait()
	})
}

func pingPongOne() sample {
	trips := scaled(100_000)
	return timed(trips, func() {
		ping, pong := make(chan int, 1), make(chan int, 1)
		go func() {
			for i := range ping {
				pong <- i + 1
			}
		}()
		for i := 0; i < trips; i++ {
			ping <- i
			check(<-pong == i+1, "the answer")
		}
		close(ping)
	})
}

func forkJoinFib() sample {
	n, result, calls := 22, 17_711, 57_313
	switch divisor {
	case 10:
		n, result, calls = 17, 1_597, 5_167
	case 100:
		n, result, calls = 12, 144, 465
	}
	return timed(calls, func() {
		answer := make(chan int, 1)
		go fib(n, answer)
		check(<-answer == result, "fib")
	})
}

func fib(n int, answer chan int) {
	if n < 2 {
		answer <- n
		return
	}
	left, right := make(chan int, 1), make(chan int, 1)
	go fib(n-1, left)
	go fib(n-2, right)
	answer <- <-left + <-right
}

func group() sample {
	const children = 1_000
	rounds := scaled(100)
	return timed(rounds*children, func() {
		for round := 0; round < rounds; round++ {
			var all sync.WaitGroup
			all.Add(children)
			values := make([]int, children)
			for i := range values {
				go func(i int) {
					values[i] = i
					all.Done()
				}(i)
			}
			all.Wait()
			sum := 0
			for _, value := range values {
				sum += value
			}
			check(sum == children*(children-1)/2, "the sum of the group")
		}
	})
}

func queue(producers, consumers int) sample {
	each := scaled(400_000) / producers
	return timed(each*producers, func() {
		items := make(chan int, 128)
		var putting sync.WaitGroup
		putting.Add(producers)
		for p := 0; p < producers; p++ {
			go func() {
				for item := 0; item < each; item++ {
					items <- item
				}
				putting.Done()
			}()
		}
		sums := make(chan int, consumers)
		for c := 0; c < consumers; c++ {
			go func() {
				sum := 0
				for item := range items {
					sum += item
				}
				sums <- sum
			}()
		}
		putting.Wait()
		close(items)
		sum := 0
		for c := 0; c < consumers; c++ {
			sum += <-sums
		}
		check(sum == producers*(each*(each-1)/2), "the sum of the items")
	})
}

func mutexContended() sample {
	const tasks = 64
	each := scaled(2_000)
	return timed(tasks*each, func() {
		var mutex sync.Mutex
		var all sync.WaitGroup
		count := 0
		all.Add(tasks)
		for i := 0; i < tasks; i++ {
			go func() {
				for j := 0; j < each; j++ {
					mutex.Lock()
					count++
					mutex.Unlock()
				}
				all.Done()
			}()
		}
		all.Wait()
		check(count == tasks*each, "the count")
	})
}

func semaphoreContended() sample {
	const tasks, permits = 64, 4
	each := scaled(1_000)
	return timed(tasks*each, func() {
		semaphore := make(chan struct{}, permits)
		var all sync.WaitGroup
		holders := int64(0)
		all.Add(tasks)
		for i := 0; i < tasks; i++ {
			go func() {
				for j := 0; j < each; j++ {
					semaphore <- struct{}{}
					check(atomic.AddInt64(&holders, 1) <= permits, "the number of holders")
					runtime.Gosched()
					atomic.AddInt64(&holders, -1)
					<-semaphore
				}
				all.Done()
			}()
		}
		all.Wait()
	})
}

func sleepLateness(duration time.Duration) sample {
	sleeps := scaled(100)
	late := time.Duration(0)
	for i := 0; i < sleeps; i++ {
		begin := time.Now()
		time.Sleep(duration)
		slept := time.Since(begin)
		check(slept >= duration, "the sleep is long enough")
		late += slept - duration
	}
	return sample{int64(sleeps), late.Nanoseconds()}
}

func timersFiring() sample {
	sleepers := scaled(100_000)
	return timed(sleepers, func() {
		var all sync.WaitGroup
		all.Add(sleepers)
		for i := 0; i < sleepers; i++ {
			go func(i int) {
				time.Sleep(time.Duration(1+i%50) * time.Millisecond)
				all.Done()
			}(i)
		}
		all.Wait()
	})
}

func timeoutUnused() sample {
	timeouts := scaled(100_000)
	return timed(timeouts, func() {
		for i := 0; i < timeouts; i++ {
			within, cancel := context.WithTimeout(context.Background(), time.Minute)
			result := make(chan int, 1)
			go func() { result <- i }()
			select {
			case value := <-result:
				check(value == i, "the value")
			case <-within.Done():
				panic("the time is up")
			}
			cancel()
		}
	})
}

func echo(connections, full int) sample {
	const message = 64
	trips := scaled(full)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err == nil, "a free port")
	defer listener.Close()
	go func() {
		for i := 0; i < connections; i++ {
			connection, err := listener.Accept()
			check(err == nil, "a connection")
			go func() {
				buffer := make([]byte, message)
				for {
					n, err := connection.Read(buffer)
					if err != nil {
						connection.Close()
						return
					}
					_, err = connection.Write(buffer[:n])
					check(err == nil, "write")
				}
			}()
		}
	}()
	clients := make([]net.Conn, connections)
	for i := range clients {
		clients[i], err = net.Dial("tcp", listener.Addr().String())
		check(err == nil, "the listener accepts")
	}
	return timed(connections*trips, func() {
		var all sync.WaitGroup
		all.Add(connections)
		for _, client := range clients {
			go func(client net.Conn) {
				sent, answer := make([]byte, message), make([]byte, message)
				for trip := 0; trip < trips; trip++ {
					for i := range sent {
						sent[i] = byte(trip)
					}
					_, err := client.Write(sent)
					check(err == nil, "write")
					_, err = io.ReadFull(client, answer)
					check(err == nil, "read")
					check(string(answer) == string(sent), "the echo")
				}
				client.Close()
				all.Done()
			}(client)
		}
		all.Wait()
	})
}
