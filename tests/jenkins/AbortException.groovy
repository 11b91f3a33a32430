package hudson

/** The failure of a step without a stack trace, under Jenkins' own name: an IOException, not a RuntimeException. */
class AbortException extends IOException {
    private static final long serialVersionUID = 1L

    AbortException(String message) { super(message) }
}
