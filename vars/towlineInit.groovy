/** Makes the plan of the whole pipeline, and returns it; without stages if there is nothing to build. */
Map call(Map parameters) {
    Map planned = towline(script: parameters.script, command: 'plan', parameters: [defaults: parameters.defaults])
    Map plan = planned.outputs
    echo('[towlinePipeline] ' + planned.summary)
    if (plan.deployCommit?.is) {   // else a repository that holds source and manifests would build for ever
        echo('[towlinePipeline] nothing to build: ' + plan.deployCommit.why)
        currentBuild.result = 'NOT_BUILT'
        plan.stages = []
    }
    return plan
}
