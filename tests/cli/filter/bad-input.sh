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
[ $code -ne 0 ]
[ ! -e out.jsonl.zst ]
: >empty.jsonl
filter -q empty.jsonl -o out.jsonl.zst && dedup -q out.jsonl.zst -o out2.jsonl.zst
[ -z "$(shard-cat out2.jsonl.zst)" ]
code=0
filter -q docs.jsonl --recipe none -o /dev/full 2>err.txt || code=$?
[ $code -eq 1 ]
grep -q /dev/full err.txt
code=0
filter -q nowhere.jsonl -o out3.jsonl.zst 2>err.txt || code=$?
[ $code -eq 1 ]
grep -q nowhere.jsonl err.txt
# Names and options that cannot be meant.
expect() {  # CODE WORDS COMMAND...
  local wanted=$1 words=$2 code=0
  shift 2
  "$@" >out.txt 2>err.txt || code=$?
  [ $code -eq "$wanted" ] && [ "$(wc -l <err.txt)" -eq 1 ] && grep -q -- "$words" err.txt || { echo "$code: $*"; cat err.txt; exit 1; }
}
expect 2 "empty file name" filter -q docs.jsonl -o ""
expect 2 "empty file name" dedup -q "" -o out3.jsonl.zst
expect 2 "--rejects" filter -q --explain docs.jsonl --rejects r.jsonl
expect 2 "below N" filter -q --shard 2/2 docs.jsonl -o out3.jsonl.zst
expect 2 "recipee" filter -q --config <(echo 'recipee = "none"') docs.jsonl -o out3.jsonl.zst
expect 2 "terminal" env GRISTMILL_FAKE_TTY=stdout filter -q docs.jsonl
expect 2 "no input" env GRISTMILL_FAKE_TTY=stdin dedup -q -o out3.jsonl.zst
expect 1 "/dev/full" filter -q --recipe c4 docs.jsonl -o out3.jsonl.zst --rejects /dev/full
expect 1 "/dev/full" filter -q --explain docs.jsonl -o /dev/full
[ ! -e out3.jsonl.zst ]
[ ! -e r.jsonl ]
# A failed run leaves the output of the one before; a full disk under --stats comes after the output is safe.
cp whole.jsonl.zst kept.jsonl.zst
expect 1 "no trailer" filter -q cut.jsonl.zst -o kept.jsonl.zst
cmp whole.jsonl.zst kept.jsonl.zst
expect 1 "/dev/full" filter -q --recipe none docs.jsonl -o again.jsonl.zst --stats /dev/full
cmp whole.jsonl.zst again.jsonl.zst
[ -z "$(ls | grep -F .tmp.)" ]
# Records that are no documents are counted, kept, and do no harm to their neighbours.
printf '{"text":"\xff\xfe"}\n{"text":"raw \0"}\n\0\n{"text":"lone \\ud800"}\n{"text":5}\n[\n{"text":"fine"}\n' >bad.jsonl
filter -q --recipe none bad.jsonl -o good.jsonl --rejects rejects.jsonl --stats stats.json
[ "$(cat good.jsonl)" = '{"text":"fine"}' ]
python3 -c '
import json
stats = json.load(open("stats.json"))
assert (stats["records_in"], stats["records_out"], stats["dropped"]) == (7, 1, {"bad_record": 6}), stats
assert [json.loads(line)["reason"] for line in open("rejects.jsonl", encoding="utf-8")] == ["bad_record"] * 6'
# A text beyond the limit is dropped unread, and kept among the rejects; without rules it passes.
filter -q --max-document-bytes 1k --recipe c4 <(python3 -c 'print("{\"id\":\"long\",\"text\":\"" + "a" * 1025 + "\"}\n{\"text\":\"b\"}")') -o good.jsonl --rejects rejects.jsonl --stats stats.json
python3 -c '
import json
assert json.load(open("stats.json"))["dropped"]["too_large"] == 1
first = json.loads(open("rejects.jsonl").readline())
assert len(first["text"]) == 1025 and first["metadata"]["filter"] == {"verdict": "too_large", "measures": {"too_large": 1025}}, first'
python3 -c 'print("{\"text\":\"" + "many words " * 500000 + "\"}")' >wide.jsonl
filter -q --recipe none wide.jsonl | shard-cat >wide.out
cmp wide.jsonl wide.out
filter -q --tag-only --max-document-bytes 1k wide.jsonl | shard-cat | tail -c 200 | grep -q '"verdict":"too_large"'
