# An id that the model does not know names its record, however many windows lie before it.
"$GRISTMILL_SOURCE/tests/support/tiny-model" m
printf '%s\n' '{"ids":[1,2,3,4,5,6,7,8,9]}' '{"ids":[1,2,3]}' '{"ids":[1,512]}' >ids.jsonl
code=0
eval-ppl --model m --ids --context 4 --stride 1 ids.jsonl >out 2>err || code=$?
[ "$code" -eq 1 ] && grep -q "record 3.*512" err && [ ! -s out ] || { echo "$code"; cat err; exit 1; }
