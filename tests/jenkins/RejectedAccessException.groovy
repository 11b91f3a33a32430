package org.jenkinsci.plugins.scriptsecurity.sandbox

/** A call that the sandbox does not allow, under Jenkins' own name. */
class RejectedAccessException extends SecurityException {
    private static final long serialVersionUID = 1L

    RejectedAccessException(String signature) { super('Scripts not permitted to use ' + signature) }
}
