# Clear errors with the right exit codes, and nothing on standard output.
expect() {
  local code=$1 pattern=$2 got=0
  shift 2
  "$@" >stdout 2>stderr </dev/null || got=$?
  [ "$got" -eq "$code" ] || { echo "$*: exit code $got, expected $code"; cat stderr; exit 1; }
  grep -q -- "$pattern" stderr || { echo "$*: no \"$pattern\" in:"; cat stderr; exit 1; }
  [ ! -s stdout ] || { echo "$*: wrote to standard output"; exit 1; }
}
tiny="$GRISTMILL_SOURCE/tests/support/tiny-model"
"$tiny" m
"$tiny" damaged --without model.layers.1.mlp.up_proj.weight
"$tiny" reward --scalar
expect 2 "--model" generate --prompt x
expect 1 "nowhere" generate --model nowhere --prompt x
expect 1 "model.layers.1.mlp.up_proj.weight" generate --model damaged --prompt x
expect 1 "reward model" generate --model reward --prompt x
expect 2 "top-p" generate --model m --prompt x --top-p 0
expect 2 "none of: fp32" generate --model m --prompt x --dtype fp8
expect 2 "no token id" generate --model m --prompt-ids 1,x
expect 1 "outside the vocabulary" generate --model m --prompt-ids 512
echo '{"text":"x"}' >in.jsonl
expect 1 "record 1" generate --model m in.jsonl
echo '{"ids":[]}' | cat in.jsonl - >empty.jsonl
sed -i '1s/.*/{"ids":[1]}/' empty.jsonl
expect 1 "record 2.*empty" generate --model m --output-ids -o out.jsonl empty.jsonl
printf '%s\n' '{"ids":[1]}' '{"ids":[2]}' '{"ids":[512]}' >ids.jsonl
expect 1 "record 3.*512" generate --model m --n 4 --output-ids -o out.jsonl ids.jsonl
expect 2 "two sources" generate --model m --prompt x --prompt-ids 1
expect 2 "two sources" generate --model m --chat ids.jsonl
expect 2 "--system" generate --model m --prompt x --system y
expect 2 "--n has no meaning" generate --model m --chat --n 2
head -c 3000 m/model.safetensors >cut && mv cut m/model.safetensors
expect 1 "safetensors" generate --model m --prompt x
echo done
