# Special tokens take the first ids; both rules for ties; what cannot be met is a usage error.
prose=$GRISTMILL_TESTDATA/tokenizer/prose.jsonl
tokenize-train -q --vocab-size 300 --special-tokens '<|endoftext|>,<|x|>' --ties cs336 "$prose" -o t.json
python3 -c '
import json
t = json.load(open("t.json", encoding="utf-8"))
print([(a["id"], a["content"]) for a in t["added_tokens"]], len(t["model"]["vocab"]), t["model"]["merges"][:3])'
for bad in "--vocab-size 259" "--special-tokens x,x" "--pretokenizer words" "--ties none" "--vocab-sise 300"; do
  code=0
  tokenize-train $bad "$prose" -o x.json 2>err.txt || code=$?
  [ $code -eq 2 ] && [ "$(wc -l <err.txt)" -eq 1 ] && [ ! -e x.json ] || { echo "$bad: $code"; cat err.txt; exit 1; }
done
# Too little text for the vocabulary: a warning, and a tokenizer all the same.
echo '{"text":"ab ab ab"}' | tokenize-train --vocab-size 1000 -o few.json 2>err.txt
grep -q "gave only" err.txt
echo '{"text":"xyz"}' | tokenize -q --tokenizer few.json --ids
