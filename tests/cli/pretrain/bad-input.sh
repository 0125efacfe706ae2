# What is wrong is said in one line with the right exit code.
small=$GRISTMILL_TESTDATA/tokenizer/small.json
prose=$GRISTMILL_TESTDATA/tokenizer/prose.jsonl
expect() {  # CODE WORDS COMMAND...
  local wanted=$1 words=$2 code=0
  shift 2
  "$@" >out.txt 2>err.txt || code=$?
  [ $code -eq "$wanted" ] && [ "$(wc -l <err.txt)" -eq 1 ] && grep -q -- "$words" err.txt || { echo "$code: $*"; cat err.txt; exit 1; }
}
tokenize -q --tokenizer "$small" "$prose" -o t.tok.zst
tiny="--layers 1 --dim 16 --heads 2 --context 32 --batch-tokens 64 --tokens 128"
expect 2 "--run-dir" pretrain t.tok.zst
expect 1 "nowhere.tok.zst" pretrain -q --run-dir r nowhere.tok.zst
expect 2 "--dtype" pretrain -q --run-dir r --dtype fp7 t.tok.zst
expect 2 "multiple of --heads" pretrain -q --run-dir r --dim 17 --heads 2 t.tok.zst
expect 2 "twice" pretrain -q --run-dir r --dim 16 --model-config c.json t.tok.zst
expect 1 "c.json" pretrain -q --run-dir r --model-config c.json t.tok.zst
echo '{"architectures":["MambaForCausalLM"]}' >c.json
expect 1 "MambaForCausalLM" pretrain -q --run-dir r --model-config c.json t.tok.zst
expect 1 "no model here" pretrain -q --run-dir r --init nowhere t.tok.zst
tokenize-train -q --vocab-size 300 "$prose" -o other.json
expect 1 "tokenizer" pretrain -q --run-dir r --tokenizer other.json t.tok.zst
head -c $(($(wc -c <t.tok.zst) / 2)) t.tok.zst >cut.tok.zst
expect 1 "cut.tok.zst" pretrain -q --run-dir r cut.tok.zst
# Said before a shard is opened.
expect 2 "lies in the run directory" pretrain -q --run-dir r --export r/model nowhere.tok.zst
expect 2 "holds the run directory" pretrain -q --run-dir r --export . nowhere.tok.zst
expect 2 "is the run directory" pretrain -q --run-dir r --export ./r/ nowhere.tok.zst
expect 2 "--max-shard-size are of no use without --export" pretrain -q --run-dir r --max-shard-size 1G nowhere.tok.zst
expect 2 "--zero must be 1 or 2, not 3" pretrain -q --run-dir r --zero 3 nowhere.tok.zst
expect 2 "--beta2" pretrain -q --run-dir r --beta2 1 nowhere.tok.zst
[ ! -e r ]
pretrain -q --run-dir r $tiny t.tok.zst
expect 2 "holds a run already" pretrain -q --run-dir r $tiny nowhere.tok.zst
expect 2 "lr (was 0.001, now 0.5)" pretrain -q --run-dir r $tiny --lr 0.5 --resume t.tok.zst
# A damaged checkpoint is not resumed from.
truncate -s -4 r/checkpoints/step-2/model.safetensors
expect 1 "model.safetensors" pretrain -q --run-dir r $tiny --resume t.tok.zst
