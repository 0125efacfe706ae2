# bf16 arithmetic: close to fp32, not the same, and the same for any number of threads.
"$GRISTMILL_SOURCE/tests/support/tiny-model" m
printf '%s\n' '{"id":"a","text":"The old stone cannot stop the corn."}' '{"id":"b","text":"grain and flour, again and again: the mill never rests"}' >in.jsonl
eval-ppl -q --model m in.jsonl >default.json
eval-ppl -q --model m --dtype fp32 in.jsonl | cmp - default.json
eval-ppl -q --model m --dtype bf16 -j1 in.jsonl >bf16.json
eval-ppl -q --model m --dtype bf16 -j2 in.jsonl | cmp - bf16.json
python3 - <<'END'
import json
whole, half = (json.load(open(f)) for f in ("default.json", "bf16.json"))
assert half["tokens"] == whole["tokens"] and half["nll"] != whole["nll"]
assert abs(half["nll"] / whole["nll"] - 1) < 0.01, (half["nll"], whole["nll"])
END
code=0; eval-ppl --model m --dtype fp8 in.jsonl 2>err || code=$?
[ "$code" -eq 2 ]
grep -q -- --dtype err
