/** The blocks that a step stands in, from the inside to the outside: what Jenkins calls the step's context. */
class Scope {
    final Scope outer
    final String block
    /** Variables that this block sets; an empty value unsets one. */
    final Map<String, String> variables = [:]
    /** Secrets that this block binds: variable -> value. */
    final Map<String, String> secrets = [:]
    Agent agent
    File folder
    /** When the block's time is over, in milliseconds of the build; 0 if it has no limit. */
    long deadline = 0
    String lock

    Scope(Scope outer, String block) {
        this.outer = outer
        this.block = block
        agent = outer?.agent
        folder = outer?.folder
    }

    /** This block and all around it, outermost first. */
    static List<Scope> chain(Scope inner) {
        List<Scope> all = []
        for (Scope one = inner; one != null; one = one.outer) { all.add(0, one) }
        return all
    }

    static Map<String, String> secretsOf(Scope inner) { chain(inner).collectEntries { it.secrets } as Map<String, String> }

    /** The block whose time is over first, if any has a limit. */
    static Scope limit(Scope inner) { chain(inner).findAll { it.deadline }.min { it.deadline } }
}

/** A machine with one workspace, as a `node` block gets it. */
class Agent {
    final File workspace
    final String label
    final Map<String, String> variables
    final String cookie = UUID.randomUUID()
    boolean lost = false

    Agent(File workspace, String label, Map<String, String> variables) {
        this.workspace = workspace
        this.label = label
        this.variables = variables
        workspace.mkdirs()
    }
}
