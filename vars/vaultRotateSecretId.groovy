/** Renews the secret id of the AppRole that logs in to Vault before it expires. */
Map call(Map parameters = [:]) {
    return towline(script: parameters.script, step: 'vaultRotateSecretId', parameters: parameters)
}
