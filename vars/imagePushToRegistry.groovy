/** Copies the image that the build made to the registry where clusters can pull it. */
Map call(Map parameters = [:]) {
    return towline(script: parameters.script, step: 'imagePushToRegistry', parameters: parameters)
}
