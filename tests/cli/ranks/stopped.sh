# SIGTERM to one rank makes all of them save one checkpoint and end with 75; the run then goes on to the bytes of one undisturbed.
command -v mpirun >/dev/null || { echo "[skipped] mpirun is not installed; scripts/setup installs it"; exit; }
ranks=$GRISTMILL_SOURCE/tests/support/ranks
tokenize -q --tokenizer "$GRISTMILL_TESTDATA/tokenizer/small.json" "$GRISTMILL_TESTDATA/tokenizer/prose.jsonl" -o t.tok.zst
options="--layers 1 --dim 16 --heads 2 --context 32 --batch-tokens 64 --micro-batch-tokens 32 --tokens 102400 --checkpoint-every 0"
wrong() {  # MESSAGE
  echo "$1; mpirun said:"
  cat mpirun.txt
  echo "steps: $(cat parts/metrics.jsonl | wc -l), checkpoints: $(ls -A parts/checkpoints | tr '\n' ' ')"
  exit 1
}
pretrain -q -j1 --run-dir whole $options t.tok.zst
cat >rank.sh <<'END'
echo $$ >pid-$OMPI_COMM_WORLD_RANK
exec "$@"
END
"$ranks" 2 bash rank.sh pretrain -q -j1 --run-dir parts $options t.tok.zst >mpirun.txt 2>&1 &
job=$!
while [ ! -s parts/metrics.jsonl ]; do
  kill -0 $job 2>/dev/null || [ -s parts/metrics.jsonl ] || wrong "ended before the first step"
  sleep 0.01
done
kill -TERM "$(cat pid-1)" || wrong "rank 1 was gone before the signal"
code=0
wait $job || code=$?
if [ $code -eq 75 ]; then
  said=$(grep -c "stopped on a signal after step" mpirun.txt) || true
  [ "$said" -eq 1 ] || wrong "$said ranks said that they stopped"
  saved=$(ls -A parts/checkpoints | wc -l)
  [ "$saved" -eq 1 ] || wrong "$saved checkpoints"
  pretrain -q -j1 --run-dir parts $options --resume t.tok.zst
else
  [ $code -eq 0 ] || wrong "code $code"  # 0: a machine so quick that the run was over
fi
for file in model.safetensors optimizer.safetensors trainer.json; do
  cmp whole/checkpoints/step-1600/$file parts/checkpoints/step-1600/$file
done
