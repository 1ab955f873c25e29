#include "textflag.h"

// func subWord(w uint32) uint32
TEXT ·subWord(SB), NOSPLIT, $0-12
	MOVL w+0(FP), AX
	MOVQ AX, X0
	PSHUFD $0, X0, X0
	AESKEYGENASSIST $0, X0, X1
	MOVQ X1, AX
	MOVL AX, ret+8(FP)
	RET

#define BLOCK(x) \
	MOVQ   R9, R10 \
	BSWAPQ R10 \
	MOVQ   R10, X9 \
	MOVOU  X8, x \
	PUNPCKLQDQ X9, x \
	PXOR   X10, x \
	INCQ   R9

// func encryptCounters(keys *uint32, rounds int, dst *byte, groups int, hi, lo uint64)
TEXT ·encryptCounters(SB), NOSPLIT, $0-48
	MOVQ   keys+0(FP), AX
	MOVQ   rounds+8(FP), CX
	MOVQ   dst+16(FP), DI
	MOVQ   groups+24(FP), BX
	MOVQ   hi+32(FP), R8
	MOVQ   lo+40(FP), R9
	BSWAPQ R8
	MOVQ   R8, X8

group:
	MOVOU (AX), X10
	BLOCK(X0)
	BLOCK(X1)
	BLOCK(X2)
	BLOCK(X3)
	LEAQ  16(AX), SI
	MOVQ  CX, DX
	DECQ  DX

round:
	MOVOU  (SI), X10
	AESENC X10, X0
	AESENC X10, X1
	AESENC X10, X2
	AESENC X10, X3
	ADDQ   $16, SI
	DECQ   DX
	JNZ    round

	MOVOU      (SI), X10
	AESENCLAST X10, X0
	AESENCLAST X10, X1
	AESENCLAST X10, X2
	AESENCLAST X10, X3
	MOVOU      X0, (DI)
	MOVOU      X1, 16(DI)
	MOVOU      X2, 32(DI)
	MOVOU      X3, 48(DI)
	ADDQ       $64, DI
	DECQ       BX
	JNZ        group
	RET
