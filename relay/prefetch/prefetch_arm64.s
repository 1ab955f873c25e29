#include "textflag.h"

// func lines(from uintptr, list *int32, n int)
TEXT ·lines(SB), NOSPLIT, $0-24
	MOVD from+0(FP), R0
	MOVD list+8(FP), R1
	MOVD n+16(FP), R2

next:
	SUBS $1, R2
	BLT  done
	MOVW.P 4(R1), R3
	ADD  R3<<6, R0, R3
	PRFM (R3), PLDL1KEEP
	B    next

done:
	RET
