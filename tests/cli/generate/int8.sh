# Weights in int8: the likeliest token has about the probability that whole weights give it, batches, threads and
# instruction sets change nothing that they should not, and eval-ppl says what was lost.
"$GRISTMILL_SOURCE/tests/support/tiny-model" m
for ids in 1,2,3 9,8,7,6,5 100,200,300; do
  for weights in real int8; do
    generate -q --model m --prompt-ids "$ids" --output-ids --temperature 0 --max-tokens 1 --weights "$weights" >>"$weights.jsonl"
  done
done
python3 - <<'END'
import json
whole, small = ([json.loads(line)["logprob"] for line in open(f)] for f in ("real.jsonl", "int8.jsonl"))
assert len(whole) == len(small) == 3 and whole != small
assert all(abs(a - b) < 0.05 for a, b in zip(whole, small)), (whole, small)
END
printf '%s\n' '{"id":"a","ids":[1,2,3]}' '{"id":"b","ids":[9,8,7,6]}' >in.jsonl
for dtype in fp32 bf16; do
  generate -q --model m --weights int8 --dtype $dtype --output-ids --max-tokens 8 --n 2 --batch 1 in.jsonl >one.jsonl
  generate -q --model m --weights int8 --dtype $dtype --output-ids --max-tokens 8 --n 2 --batch 16 -j2 in.jsonl | cmp - one.jsonl
done
# An older processor: the same ids, from whole weights and from int8.
for weights in real int8; do
  generate -q --model m --weights $weights --output-ids --temperature 0 --max-tokens 16 in.jsonl >fast.jsonl
  GRISTMILL_ISA=scalar generate -q --model m --weights $weights --output-ids --temperature 0 --max-tokens 16 in.jsonl >plain.jsonl
  python3 - <<'END'
import json
fast, plain = ([json.loads(line)["ids"] for line in open(f)] for f in ("fast.jsonl", "plain.jsonl"))
assert fast == plain and len(fast[0]) > 0, (fast, plain)
END
done
printf '%s\n' '{"ids":[1,2,3,4,5,6,7,8]}' '{"ids":[100,50,25,12,6]}' >ids.jsonl
for weights in real int8; do eval-ppl -q --model m --ids --weights $weights ids.jsonl >ppl.$weights; done
python3 - <<'END'
import json
whole, small = (json.load(open(f"ppl.{w}"))["token_perplexity"] for w in ("real", "int8"))
assert whole != small and abs(small / whole - 1) < 0.02, (whole, small)
END
generate -q --model m --prompt-ids 1 --weights int4 2>error.txt && exit 1
grep -q int8 error.txt
echo done
