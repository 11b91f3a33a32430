/** Copies the image that the build made to the registry that clusters pull from. */
Map call(Map parameters = [:]) {
    return towline(script: parameters.script, step: 'imagePushToRegistry', parameters: parameters)
}
