# --explain prints a line a rule; --set moves a limit; unknown names are usage errors.
echo '{"id":"a","text":"The end of the tale."}' >docs.jsonl
filter -q --recipe gopher --explain docs.jsonl
echo --
filter -q --recipe none --steps gopher_quality --set gopher_quality.min_doc_words=5 docs.jsonl -o out.jsonl
cat out.jsonl
for bad in "--recipe gofer" "--set gopher_quality.min=3" "--set nothing" "--steps polish" "--pii hide"; do
  code=0
  filter $bad docs.jsonl -o x.jsonl 2>err.txt || code=$?
  [ $code -eq 2 ] || { echo "exit code $code for $bad"; exit 1; }
  [ "$(wc -l <err.txt)" -eq 1 ] || { cat err.txt; exit 1; }
  [ ! -e x.jsonl ]
done
