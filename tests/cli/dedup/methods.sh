# Exact and near duplicates; the first stays; the rejects say why; equal bytes for any number of threads.
python3 - >docs.jsonl <<'END'
import json
text = " ".join("word%d" % (i * i % 997) for i in range(200))
docs = [("a", text), ("b", "Something else entirely."), ("c", text.upper()), ("d", text + " and a tail"), ("e", "something  ELSE, entirely!")]
for key, value in docs: print(json.dumps({"id": key, "text": value}))
END
for method in exact minhash; do
  dedup -q --method $method -j1 docs.jsonl -o $method.jsonl --rejects $method.rejects.jsonl --stats $method.json
  dedup -q --method $method -j2 <docs.jsonl >$method.2.jsonl.zst
  shard-cat $method.2.jsonl.zst | cmp - $method.jsonl
  echo "== $method"
  grep -o '"id": "."' $method.jsonl
  grep -o '"dedup":.*' $method.rejects.jsonl
  python3 -c 'import json, sys; s = json.load(open(sys.argv[1])); print(s["dropped"], s["clusters"], s["largest_cluster"])' $method.json
done
for bad in "--threshold 1.5" "--bands 0" "--method fuzzy" "--memory lots"; do
  code=0
  dedup -q $bad docs.jsonl -o x.jsonl 2>err.txt || code=$?
  [ $code -eq 2 ] && [ "$(wc -l <err.txt)" -eq 1 ] || { echo "exit code $code for $bad"; cat err.txt; exit 1; }
done
