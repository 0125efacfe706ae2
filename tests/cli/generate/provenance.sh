# The header of a shard of completions holds every option that makes them.
"$GRISTMILL_SOURCE/tests/support/tiny-model" m
echo '{"prompt":"x"}' >in.jsonl
generate -q --model m --max-tokens 3 --stop-ids 7,9 --template none in.jsonl -o out.jsonl.zst
shard-cat --header out.jsonl.zst | python3 -c '
import json, sys
options = json.load(sys.stdin)["header"]["options"]
assert options["stop_ids"] == [7, 9] and options["template"] == "none" and options["max_tokens"] == 3, options'
