#!/usr/bin/env bash
# Makes rt-top.svg from a real run: the example `shop` of the command `rt`, seen by `rt top` in a terminal of 124 columns
# and 21 lines. Needs tmux, and Python with the package `rich`, which draws what tmux has captured.
set -euo pipefail
cd "$(dirname "$0")/../../.."
cargo build -p rt-tasks-cli --bin rt --example shop
RT_INSPECT=1 target/debug/examples/shop >/dev/null &
shop=$!
session=rt-picture-$$
trap 'tmux kill-session -t "$session"; kill "$shop"' EXIT
sleep 1
tmux new-session -d -s "$session" -x 124 -y 21 "target/debug/rt top $shop"
tmux send-keys -t "$session" t
# As many looks as make a curve, and a moment in which the report computes.
sleep 33.5
tmux capture-pane -t "$session" -e -p | python3 -c '
import re
import sys
from rich.console import Console
from rich.text import Text

console = Console(record=True, width=124, file=open("/dev/null", "w"), force_terminal=True, color_system="truecolor")
for line in sys.stdin.read().rstrip("\n").split("\n"):
    console.print(Text.from_ansi(line), no_wrap=True, crop=True)
svg = console.export_svg(title="rt top")
# The font is to be that of the reader, not one from the network.
svg = re.sub(r"@font-face \{.*?\}\n?", "", svg, flags=re.DOTALL)

# Not every program that shows pictures keeps the spaces at the ends of a text: the text begins behind them instead.
def without_spaces_at_ends(found):
    start, x, middle, length, rest, text = found.groups()
    n_before = re.match("(&#160;)*", text).end() // 6
    inner = text[6 * n_before:]
    n_after = 0
    while inner.endswith("&#160;"):
        inner, n_after = inner[:-6], n_after + 1
    x, length = float(x) + 12.2 * n_before, float(length) - 12.2 * (n_before + n_after)
    return f"{start}{x:.1f}{middle}{length:.1f}{rest}{inner}</text>" if inner else ""

shape = r"(<text class=\"[^\"]*\" x=\")([^\"]*)(\"[^>]*textLength=\")([^\"]*)(\"[^>]*>)([^<]*)</text>"
svg = re.sub(shape, without_spaces_at_ends, svg)
open(sys.argv[1], "w").write(svg)
' docs/src/images/rt-top.svg
