# Equal bytes for any number of threads; --tag-only keeps every record and its text.
python3 - >docs.jsonl <<'END'
import json
for i in range(2000):
    text = "Page %d of the miller's book tells of the weights and the prices that have to be paid. " % i * (1 + i % 9)
    print(json.dumps({"id": str(i), "text": text}))
END
filter -q -j1 docs.jsonl -o one.jsonl.zst --rejects one.rejects.jsonl.zst
filter -q -j2 docs.jsonl -o two.jsonl.zst --rejects two.rejects.jsonl.zst
cmp one.jsonl.zst two.jsonl.zst
cmp one.rejects.jsonl.zst two.rejects.jsonl.zst
filter -q --tag-only docs.jsonl -o tagged.jsonl
[ "$(wc -l <tagged.jsonl)" -eq 2000 ]
python3 - <<'END'
import json
for a, b in zip(open("docs.jsonl"), open("tagged.jsonl")):
    a, b = json.loads(a), json.loads(b)
    assert a["text"] == b["text"] and "verdict" in b["metadata"]["filter"]
END
