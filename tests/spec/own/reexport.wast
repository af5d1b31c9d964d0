;; An import may name a thing that another instance imports and exports again: what counts are the thing's own
;; limits, not those that the instance between asked for (core specification 4.5.3).
(module $owner
  (memory (export "memory") 1 2)
  (table (export "table") 1 3 funcref))
(register "owner" $owner)

(module $between
  (import "owner" "memory" (memory 1))
  (import "owner" "table" (table 1 funcref))
  (export "memory" (memory 0))
  (export "table" (table 0)))
(register "between" $between)

(module
  (import "between" "memory" (memory 1 2))
  (import "between" "table" (table 1 3 funcref)))
(module
  (import "between" "memory" (memory 0 4))
  (import "between" "table" (table 0 4 funcref)))
(assert_unlinkable (module (import "between" "memory" (memory 1 1))) "incompatible import type")
(assert_unlinkable (module (import "between" "table" (table 1 2 funcref))) "incompatible import type")
(assert_unlinkable (module (import "between" "memory" (memory 2))) "incompatible import type")
(assert_unlinkable (module (import "between" "table" (table 2 funcref))) "incompatible import type")

;; Without a maximum is more than any maximum.
(module $open (memory (export "memory") 1) (table (export "table") 1 funcref))
(register "open" $open)
(assert_unlinkable (module (import "open" "memory" (memory 1 65536))) "incompatible import type")
(assert_unlinkable (module (import "open" "table" (table 1 1000000 funcref))) "incompatible import type")
(module (import "open" "memory" (memory 1)) (import "open" "table" (table 1 funcref)))

;; The size now is what counts, not the one at the start.
(module $grown
  (memory (export "memory") 0 5)
  (table (export "table") 0 5 funcref)
  (func (export "grow") (drop (memory.grow (i32.const 2))) (drop (table.grow 0 (ref.null func) (i32.const 3)))))
(register "grown" $grown)
(assert_unlinkable (module (import "grown" "memory" (memory 2))) "incompatible import type")
(invoke $grown "grow")
(module (import "grown" "memory" (memory 2 5)) (import "grown" "table" (table 3 5 funcref)))
