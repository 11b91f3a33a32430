/** Writes the image into the GitOps repository of a stage, as one commit. */
Map call(Map parameters = [:]) {
    return towline(script: parameters.script, step: 'gitOpsUpdateDeployment', parameters: parameters)
}
