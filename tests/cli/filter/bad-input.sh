# A cut input fails with one line and leaves no output; an empty one is fine; the shard of the stage before must be whole.
python3 -c '
import json
for i in range(3000): print(json.dumps({"id": str(i), "text": "A page number %d." % i}))' >docs.jsonl
filter -q --recipe none docs.jsonl -o whole.jsonl.zst
head -c $(($(wc -c <whole.jsonl.zst) / 2)) whole.jsonl.zst >cut.jsonl.zst
for tool in filter dedup; do
  code=0
  $tool -q cut.jsonl.zst -o out.jsonl.zst 2>err.txt || code=$?
  [ $code -eq 1 ] && [ "$(wc -l <err.txt)" -eq 1 ] && [ ! -e out.jsonl.zst ] || { echo "$tool $code"; cat err.txt; exit 1; }
done
code=0
cat cut.jsonl.zst | filter -q --recipe none | dedup -q -o out.jsonl.zst 2>err.txt || code=$?
[ $code -ne 0 ] && [ ! -e out.jsonl.zst ]
: >empty.jsonl
filter -q empty.jsonl -o out.jsonl.zst && dedup -q out.jsonl.zst -o out2.jsonl.zst
[ -z "$(shard-cat out2.jsonl.zst)" ]
code=0
filter -q docs.jsonl --recipe none -o /dev/full 2>err.txt || code=$?
[ $code -eq 1 ] && grep -q /dev/full err.txt
code=0
filter -q nowhere.jsonl -o out3.jsonl.zst 2>err.txt || code=$?
[ $code -eq 1 ] && grep -q nowhere.jsonl err.txt
