/** Copies an image from one registry to another: the older name of imagePushToRegistry. */
Map call(Map parameters = [:]) {
    return towline(script: parameters.script, step: 'containerPushToRegistry', parameters: parameters)
}
