"""Eight float64 at a time: the vector instruction that the compiled pass is made of.

Left to itself the compiler can't vectorise this update, because it can't know that the two
arrays do not overlap. Importing this module imports numba; only the compiled passes do so.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.core.cgutils import ir  # llvmlite's: numba decides on its version
from numba.extending import intrinsic

__all__ = ["LANES", "add_scaled_4"]

LANES = 8
"""Numbers in one vector; rows of every table are padded to a multiple of it."""


def _pointer(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    data = context.make_array(kind)(context, builder, array).data
    vector = ir.VectorType(ir.DoubleType(), LANES)
    return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())


def _spread(builder: Any, scalar: Any) -> Any:
    vector = ir.VectorType(ir.DoubleType(), LANES)
    undefined = ir.Constant(vector, ir.Undefined)
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    one = builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, undefined, zeros)


def _fused(builder: Any, a: Any, x: Any, y: Any) -> Any:
    return builder.fadd(builder.fmul(a, x, flags=("contract",)), y, flags=("contract",))


@intrinsic  # type: ignore[untyped-decorator]
def add_scaled_4(
    typing: Any,
    y: Any,
    k: Any,
    a: Any,
    b: Any,
    c: Any,
    d: Any,
    x: Any,
    i: Any,
    j: Any,
    n: Any,
    o: Any,
) -> Any:
    """Do ``y[k:k+8] += a*x[i:i+8] + b*x[j:j+8] + c*x[n:n+8] + d*x[o:o+8]``.

    Four rows at once: the sum is loaded and stored once instead of four times. The ranges must
    lie inside the arrays.
    """
    one, at = types.float64, types.intp
    signature = types.void(y, at, one, one, one, one, x, at, at, at, at)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        at_y = _pointer(context, builder, sig.args[0], args[0], args[1])
        total = builder.load(at_y, align=8)
        for scalar, start in zip(args[2:6], args[7:11], strict=True):
            row = builder.load(_pointer(context, builder, sig.args[6], args[6], start), align=8)
            total = _fused(builder, _spread(builder, scalar), row, total)
        builder.store(total, at_y, align=8)
        return context.get_dummy_value()

    return signature, generate
