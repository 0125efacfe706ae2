# Each recipe on one small set: counts add up, and what was dropped has its reason.
cat >docs.jsonl <<'END'
{"id":"good","text":"The miller opens the gate at dawn, and water fills the race below the old house.\nThen the great wheel begins to move, slowly at first, with a groan that can be heard in the village.\nTwo pairs of stones grind rye on weekdays, while wheat is ground on Saturdays for the bakers of the town.\nSacks that came in full of grain leave full of flour, and the carter counts them twice to be sure.\nWrite to miller@mill.example.org if you have grain to be ground, or come on any morning.\n"}
{"id":"short","text":"Too short."}
{"id":"code","text":"int main() { return 0; }"}
not json
{"id":"blocked","url":"https://www.blocked.example/page","text":"Whatever it says."}
END
echo blocked.example >domains.txt
for recipe in fineweb gopher c4 mc4 none; do
  filter -q --recipe $recipe --block-domains domains.txt docs.jsonl -o $recipe.jsonl --rejects $recipe.rejects.jsonl --stats $recipe.json
  echo "== $recipe"
  grep -o '"id":"[a-z]*"' $recipe.jsonl || true
  python3 - $recipe.json <<'END'
import json, sys
s = json.load(open(sys.argv[1]))
assert s["records_in"] == s["records_out"] + sum(s["dropped"].values()), s
print(s["records_in"], s["records_out"], s["dropped"], s["masked"])
END
done
grep -c EMAIL_ADDRESS fineweb.jsonl
grep -o '"verdict":"[a-z0-9_]*"' fineweb.rejects.jsonl
