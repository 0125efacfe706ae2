# bf16 arithmetic: the likeliest token has about the probability that fp32 gives it, and batches change nothing.
"$GRISTMILL_SOURCE/tests/support/tiny-model" m
rm m/tokenizer.json
for ids in 1,2,3 9,8,7,6,5 100,200,300; do
  for dtype in fp32 bf16; do
    generate -q --model m --prompt-ids "$ids" --output-ids --temperature 0 --max-tokens 1 --dtype "$dtype" >>"$dtype.jsonl"
  done
done
python3 - <<'END'
import json
whole, half = ([json.loads(line)["logprob"] for line in open(f)] for f in ("fp32.jsonl", "bf16.jsonl"))
assert len(whole) == len(half) == 3 and whole != half
assert all(abs(a - b) < 0.05 for a, b in zip(whole, half)), (whole, half)
END
printf '%s\n' '{"id":"a","ids":[1,2,3]}' '{"id":"b","ids":[9,8,7,6]}' >in.jsonl
generate -q --model m --dtype bf16 --output-ids --max-tokens 8 --n 2 --batch 1 in.jsonl >one.jsonl
generate -q --model m --dtype bf16 --output-ids --max-tokens 8 --n 2 --batch 16 -j2 in.jsonl | cmp - one.jsonl
