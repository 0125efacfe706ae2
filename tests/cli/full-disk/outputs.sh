# What cannot be written is said in one line, with exit code 1.
"$GRISTMILL_SOURCE/tests/support/tiny-model" m
"$GRISTMILL_SOURCE/tests/support/tiny-model" reward --scalar --seed 5
expect() {  # COMMAND...
  local code=0
  "$@" >out.txt 2>err.txt || code=$?
  [ $code -eq 1 ] && [ "$(wc -l <err.txt)" -eq 1 ] && grep -q "No space left on device" err.txt || { echo "$code: $*"; cat err.txt; exit 1; }
}
echo '{"id":"a","text":"the old mill"}' >documents.jsonl
echo '{"id":"a","prompt":"the old mill"}' >prompts.jsonl
generate -q --model m --max-tokens 4 prompts.jsonl -o a.jsonl
generate -q --model m --max-tokens 4 --seed 7 prompts.jsonl -o b.jsonl
arena-judge judge -q --reward-model reward a.jsonl b.jsonl -o verdicts.jsonl
questions=$GRISTMILL_TESTDATA/eval/questions.jsonl
expect eval-ppl -q --model m documents.jsonl -o /dev/full
expect eval-ppl -q --model m --per-record documents.jsonl -o /dev/full
expect eval-ppl -q --model m --stats /dev/full documents.jsonl
expect eval-bench -q --model m --task mmlu "$questions" -o /dev/full
expect eval-bench -q --model m --task mmlu --records /dev/full "$questions"
expect generate -q --model m --max-tokens 4 prompts.jsonl -o /dev/full
expect arena-judge judge -q --reward-model reward a.jsonl b.jsonl -o /dev/full
expect arena-judge judge -q --reward-model reward --report /dev/full a.jsonl b.jsonl
expect arena-judge rate -q verdicts.jsonl -o /dev/full
expect arena-judge winrate -q --baseline b verdicts.jsonl -o /dev/full
to_full() { "$@" >/dev/full; }
expect to_full eval-ppl -q --model m documents.jsonl
expect to_full generate -q --model m --max-tokens 4 prompts.jsonl
