/**
 * Runs the body in its turn: one build at a time by the plan's lock, and older builds do not overtake newer ones.
 *
 * A controller without the plugins for `lock` or `milestone` runs the body as it is, with a note.
 */
void call(Map plan, Closure body) {
    if (!plan.lock) {
        inTime(plan, body)
        return
    }
    Map seen = [inside: false]
    try {
        lock(resource: plan.lock, inversePrecedence: true) {
            seen.inside = true
            pass(plan)
            inTime(plan, body)
        }
    } catch (NoSuchMethodError missing) {
        if (seen.inside || !towlineStep.isMissing(missing, 'lock')) {
            throw missing
        }
        echo('[towlineOrder] builds may run side by side: this controller has no step lock (plugin lockable-resources)')
        inTime(plan, body)
    }
}

/** An older build that arrives after a newer one ends here. */
void pass(Map plan) {
    if (plan.milestone) {
        try {
            milestone(plan.ordinal as int)
        } catch (NoSuchMethodError missing) {
            if (!towlineStep.isMissing(missing, 'milestone')) {
                throw missing
            }
            echo('[towlineOrder] an older build may come after a newer one: this controller has no step milestone')
        }
    }
}

void inTime(Map plan, Closure body) {
    if (plan.timeout) {
        timeout(time: plan.timeout as int, unit: 'MINUTES') { body() }
    } else {
        body()
    }
}
