#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# penstock model: what a model is, and what it answers. MODELS_DIR= for another place of the models.
models=${MODELS_DIR:-../shared/models}
D=$(mktemp -d) || exit 1
trap 'rm -rf "$D"' EXIT
ok() { echo "ok $1"; }
not_ok() { echo "not ok $1 - $2"; }
check() { local name=$1 reason=$2; shift 2; if "$@"; then ok "$name"; else not_ok "$name" "$reason"; fi; }

printf 'no model at all' >"$D/text"
said=$("$B/penstock" model inspect "$D/text" 2>&1)
check "what is no model is refused" "$said" grep -q 'no TensorFlow Lite model' <<<"$said"
if [ ! -e "$models/kws_ref_model.tflite" ]; then
	echo "skip models - not there: $models (MODELS_DIR= names another place)"
	exit
fi
said=$("$B/penstock" model inspect --json "$models/kws_ref_model.tflite")
counted() { jq -e '(.operators | length) == 13 and .macs == 2656768 and .inputs[0].shape == "1x49x10x1"' <<<"$said" >/dev/null; }
check "inspect counts operators and products" "$said" counted
for name in kws_ref_model person_detect; do
	"$B/penstock" model run "$models/$name.tflite" -i "$models/$name.1.in" -o "$D/out" 2>"$D/err"
	check "$name gives the reference bytes" "$(cat "$D/err")" cmp -s "$D/out" "$models/$name.1.out"
done
said=$("$B/penstock" model run "$models/person_detect.tflite" -i "$models/person.ifm")
check "a picture of a person is one" "$said" grep -q '^1  113' <<<"$said"
said=$("$B/penstock" model run "$models/person_detect.tflite" -i "$D/text" 2>&1)
check "an input of another size is refused, with both sizes" "$said" grep -q 'has 15 bytes, the inputs of the model have 9216' <<<"$said"
said=$("$B/penstock" model run "$models/trained_lstm_int8.tflite" -i "$D/text" 2>&1)
check "an operator that is not offered is named" "$said" grep -q 'UNIDIRECTIONAL_SEQUENCE_LSTM' <<<"$said"
