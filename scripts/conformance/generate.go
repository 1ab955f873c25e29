package main

func generate(seed uint64, n int, sdp bodies) []sequence { return nil }
