"""The same work with the library and with what somebody would pick instead, each as its own documentation says."""
