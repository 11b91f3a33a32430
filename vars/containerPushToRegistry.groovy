/** Pushes an image from one registry to another: the older name for what imagePushToRegistry does. */
Map call(Map parameters = [:]) {
    return towline(script: parameters.script, step: 'containerPushToRegistry', parameters: parameters)
}
