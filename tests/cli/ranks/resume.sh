# A checkpoint of any number of ranks, at either stage of ZeRO, goes on with any other, to the same bytes.
command -v mpirun >/dev/null || { echo "[skipped] mpirun is not installed; scripts/setup installs it"; exit; }
ranks=$GRISTMILL_SOURCE/tests/support/ranks
tokenize -q --tokenizer "$GRISTMILL_TESTDATA/tokenizer/small.json" "$GRISTMILL_TESTDATA/tokenizer/prose.jsonl" -o t.tok.zst
tac "$GRISTMILL_TESTDATA/tokenizer/prose.jsonl" >turned.jsonl
tokenize -q --tokenizer "$GRISTMILL_TESTDATA/tokenizer/small.json" turned.jsonl -o turned.tok.zst
back_to() {  # STEP: as if the run had ended there
  for folder in parts/checkpoints/step-*; do [ "${folder##*-}" -le "$1" ] || rm -r "$folder"; done
}
in_parts() {  # EVERY OPTIONS: 1, 2, 4 and 1 ranks take EVERY steps each, as far as one alone goes
  local every=$1 options="$2 --layers 1 --dim 16 --heads 2 --context 32 --micro-batch-tokens 32 --checkpoint-every $1 --keep-checkpoints 0"
  rm -rf whole parts
  pretrain -q -j1 --run-dir whole $options t.tok.zst
  pretrain -q -j1 --run-dir parts $options t.tok.zst
  back_to "$every"
  "$ranks" 2 pretrain -q -j1 --run-dir parts $options --resume t.tok.zst
  back_to $((2 * every))
  "$ranks" 4 pretrain -q -j1 --run-dir parts $options --zero 2 --resume t.tok.zst
  back_to $((3 * every))
  pretrain -q -j1 --run-dir parts $options --resume t.tok.zst
  for step in $every $((2 * every)) $((3 * every)) $((4 * every)); do
    for file in model.safetensors optimizer.safetensors; do
      cmp whole/checkpoints/step-$step/$file parts/checkpoints/step-$step/$file
    done
    cmp <(grep -v '"zero":' whole/checkpoints/step-$step/trainer.json) <(grep -v '"zero":' parts/checkpoints/step-$step/trainer.json)
  done
  steady() { sed -E 's/"(tokens_per_s|memory|mfu)":[^,}]*,?//g' "$1"/metrics.jsonl; }
  cmp <(steady whole) <(steady parts)
}
in_parts 3 "--batch-tokens 128 --tokens 1536"
# With everything that looks back or ahead: outlying steps, which the last 128 decide, a growing batch, annealing.
in_parts 45 "--batch-tokens 96 --tokens 14000 --optimizer muon --dtype bf16 --z-loss 1e-3 --skip-outliers 1 --batch-ramp 0.3:0.6 \
  --anneal-data turned.tok.zst --anneal-share 0.4 --schedule wsd"
grep -q '"skipped":1' parts/metrics.jsonl
