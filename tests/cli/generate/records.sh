# Records in, completions out: keys carried through, the batch changes nothing, ids need no tokenizer.
"$GRISTMILL_SOURCE/tests/support/tiny-model" m
cat >in.jsonl <<'END'
{"id":"a","prompt":"the stone","topic":"mills"}
{"id":"b","messages":[{"role":"user","content":"who grinds?"},{"role":"assistant","content":"the miller"}]}
{"id":"c","ids":[9,8,7]}
END
generate -q --model m --max-tokens 12 --n 2 in.jsonl -o one.jsonl --batch 1
generate -q --model m --max-tokens 12 --n 2 --batch 16 <in.jsonl >two.jsonl
cmp one.jsonl two.jsonl
generate -q --model m --max-tokens 12 --n 2 in.jsonl -o three.jsonl.zst -j 2
zstd -dc three.jsonl.zst | cmp - one.jsonl
generate -q --model m --max-tokens 12 --n 2 --seed 2 in.jsonl | cmp -s - one.jsonl && { echo "the seed changes nothing"; exit 1; }
[ "$(wc -l <one.jsonl)" -eq 6 ]
python3 - <<'END'
import json
rows = [json.loads(line) for line in open("one.jsonl")]
assert [r["id"] for r in rows] == list("aabbcc")
assert rows[0]["topic"] == "mills" and rows[2]["prompt"] == [{"role": "user", "content": "who grinds?"}]
assert all(r["finish_reason"] in ("stop", "length") and r["logprob"] < 0 and isinstance(r["text"], str) for r in rows)
assert [r["sample"] for r in rows] == [0, 1] * 3
END
rm m/tokenizer.json
generate -q --model m --prompt-ids 1,2,3 --output-ids --temperature 0 --max-tokens 4 >ids.jsonl
generate -q --model m --prompt-ids 1,2,3 --output-ids --top-k 1 --max-tokens 4 | python3 -c '
import json, sys
a, b = json.loads(sys.stdin.readline()), json.loads(open("ids.jsonl").readline())
assert a["prompt"] == b["prompt"] == [1, 2, 3] and a["ids"] == b["ids"] and 1 <= len(a["ids"]) <= 4'
echo done
