# The report's keys, per-record lines, strides, and refusals.
"$GRISTMILL_SOURCE/tests/support/tiny-model" m
cat >in.jsonl <<'END'
{"id":"a","text":"The old stone can't stop the corn."}
{"id":"b","text":""}
{"id":"c","text":"grain and flour, grain and flour, again and again and again and again and again and again: the mill never rests"}
END
eval-ppl -q --model m --stats stats.json in.jsonl -o whole.json
eval-ppl -q --model m --context 16 --stride 4 in.jsonl >strided.json
eval-ppl -q --model m --per-record in.jsonl >records.jsonl
echo '{"ids":[4,5,6,7]}' | eval-ppl -q --model m --ids >ids.json
python3 - <<'END'
import json, math
whole, strided, ids, stats = (json.load(open(f)) for f in ("whole.json", "strided.json", "ids.json", "stats.json"))
assert list(whole) == ["nll", "tokens", "bytes", "words", "token_perplexity", "byte_perplexity", "word_perplexity", "bits_per_byte"]
assert strided["tokens"] == whole["tokens"] and strided["bytes"] == whole["bytes"]
records = [json.loads(line) for line in open("records.jsonl")]
assert [r["id"] for r in records] == ["a", "c"]
assert math.isclose(sum(r["nll"] for r in records), whole["nll"], rel_tol=1e-6)
assert sum(r["tokens"] for r in records) == whole["tokens"]
assert math.isclose(whole["bits_per_byte"], whole["nll"] / math.log(2) / whole["bytes"], rel_tol=1e-9)
assert ids["tokens"] == 3 and ids["bytes"] is None
assert stats["records_in"] == 3 and stats["records_out"] == 2 and stats["dropped"] == {"empty": 1}
END
code=0; eval-ppl --model m --stride 200 in.jsonl 2>err || code=$?
[ "$code" -eq 2 ]
grep -q -- --stride err
code=0; eval-ppl --model m /dev/null 2>err || code=$?
[ "$code" -eq 1 ]
grep -q "nothing to score" err
echo done
