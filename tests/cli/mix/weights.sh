# Shares by weight, a seed of its own, a domain that runs out, and a weights file with an error.
python3 - <<'END'
import json
for name, count in (("web", 400), ("code", 100)):
    with open(name + ".jsonl", "w") as f:
        for i in range(count): f.write(json.dumps({"id": "%s%d" % (name, i), "text": name[0] * 100}) + "\n")
END
printf 'web\t3\ncode\t1\n' >weights.tsv
mix -q --weights weights.tsv --bytes 20000 web.jsonl code.jsonl -o mix.jsonl.zst --stats mix.json
shard-cat mix.jsonl.zst | grep -c '"id": "web' 
mix -q --weights weights.tsv --bytes 20000 web.jsonl code.jsonl | cmp - mix.jsonl.zst
mix -q --seed 2 --weights weights.tsv --bytes 20000 web.jsonl code.jsonl -o other.jsonl.zst
if cmp -s other.jsonl.zst mix.jsonl.zst; then exit 1; fi
python3 - <<'END'
import json
for d in json.load(open("mix.json"))["domains"]: print(d)
END
echo '{"web": 1, "code": 1}' >weights.json
mix -q --weights weights.json --tokens 15000 --bytes-per-token 4 web.jsonl code.jsonl -o short.jsonl 2>warnings.txt
grep -c . short.jsonl
cat warnings.txt
printf 'web\tmuch\n' >bad.tsv
code=0
mix -q --weights bad.tsv web.jsonl -o x.jsonl 2>err.txt || code=$?
[ $code -eq 2 ]
grep -q '"web" is no number' err.txt
code=0
mix -q web.jsonl -o x.jsonl 2>err.txt || code=$?
[ $code -eq 2 ]
code=0
printf 'web\t1\n' >web.tsv
mix -q --weights web.tsv web.jsonl code.jsonl -o x.jsonl 2>err.txt || code=$?
[ $code -eq 1 ]
grep -q 'no weight for domain "code"' err.txt
