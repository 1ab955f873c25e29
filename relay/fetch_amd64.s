#include "textflag.h"

// func prefetch(own uintptr, lines *int32, n int)
TEXT ·prefetch(SB), NOSPLIT, $0-24
	MOVQ own+0(FP), AX
	MOVQ lines+8(FP), BX
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
