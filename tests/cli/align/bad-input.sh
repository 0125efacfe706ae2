# What is wrong is said in one line with the right exit code.
small=$GRISTMILL_TESTDATA/tokenizer/small.json
expect() {  # CODE WORDS COMMAND...
  local wanted=$1 words=$2 code=0
  shift 2
  "$@" >out.txt 2>err.txt || code=$?
  [ $code -eq "$wanted" ] && [ "$(wc -l <err.txt)" -eq 1 ] && grep -q -- "$words" err.txt || { echo "$code: $*"; cat err.txt; exit 1; }
}
tokenize -q --tokenizer "$small" "$GRISTMILL_TESTDATA/tokenizer/prose.jsonl" -o t.tok.zst
pretrain -q --run-dir base --tokenizer "$small" --layers 1 --dim 16 --heads 2 --context 64 --batch-tokens 64 --tokens 128 t.tok.zst
"$GRISTMILL_SOURCE/scripts/gold-task" conversations 4 >chats.jsonl
echo '{"messages":[]}' >empty.jsonl
expect 2 "--model" sft --data chats.jsonl --run-dir r
expect 1 "nowhere" sft -q --model nowhere --data chats.jsonl --run-dir r
expect 1 "nowhere.jsonl" sft -q --model base --data nowhere.jsonl --run-dir r
expect 1 "no usable record" sft -q --model base --data empty.jsonl --run-dir r
expect 2 "--batch-size" sft -q --model base --data chats.jsonl --run-dir r --batch-size 0
expect 2 "--lr" sft -q --model base --data chats.jsonl --run-dir r --lr -1
expect 2 "--beta2" sft -q --model base --data chats.jsonl --run-dir r --beta2 1
expect 2 "--warmup" sft -q --model base --data chats.jsonl --run-dir r --warmup 1.5
expect 1 "use --device cpu" sft -q --model base --data chats.jsonl --run-dir r --device cuda
expect 2 "--beta must be positive" dpo -q --model base --data pairs.jsonl --run-dir r --beta 0
expect 2 "label-smoothing" dpo -q --model base --data pairs.jsonl --run-dir r --loss hinge --label-smoothing 0.1
expect 1 "nowhere.jsonl" reward-train -q --model base --data nowhere.jsonl --run-dir r
expect 1 "not a reward model" ppo -q --model base --reward-model base --data chats.jsonl --run-dir r
expect 2 "--temperature" ppo -q --model base --reward-model base --data chats.jsonl --run-dir r --temperature 0
[ ! -e r ]
