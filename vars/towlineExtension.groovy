/**
 * Runs the body inside the extensions of a stage, the outermost first; an extension decides whether its original runs.
 *
 * An extension is a Groovy file of the project or of the platform team: `Map call(Map)` with script, originalStage (a
 * closure), stageName and config, as in Piper's pipeline.
 */
void call(Map task, Map plan, Closure body) {
    runInside(task, plan, 0, body)
}

void runInside(Map task, Map plan, int at, Closure body) {
    List files = plan.extensions ?: []
    if (at >= files.size()) {
        body()
        return
    }
    Object extension = load(files[at])
    if (extension == null) {
        error('[towlineExtension] ' + files[at] + ' does not end with `return this`, so it cannot be called; see the page of towlineStage')
    }
    echo('[towlineExtension] stage ' + task.stage + ' runs inside ' + files[at])
    extension.call([script: task.script, stageName: task.stage, config: plan.configuration ?: [:],
                    originalStage: { runInside(task, plan, at + 1, body) }])
}
