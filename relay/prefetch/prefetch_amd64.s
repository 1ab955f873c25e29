#include "textflag.h"

// func lines(from uintptr, list *int32, n int)
TEXT ·lines(SB), NOSPLIT, $0-24
	MOVQ from+0(FP), AX
	MOVQ list+8(FP), BX
	MOVQ n+16(FP), CX

next:
	DECQ CX
	JLT  done
	MOVLQSX (BX), DX
	SHLQ $6, DX
	PREFETCHT0 (AX)(DX*1)
	ADDQ $4, BX
	JMP  next

done:
	RET
