// CodeNarc's rules for the library. The Jenkins rules look at files named 'Jenkinsfile' only, unless told otherwise.
def everyFile = '*.groovy'
ruleset {
    ClassNotSerializable { applyToFileNames = everyFile }
    ClosureInGString { applyToFileNames = everyFile }
    CpsCallFromNonCpsMethod { applyToFileNames = everyFile; cpsScriptVariableName = 'script' }
    ExpressionInCpsMethodNotSerializable { applyToFileNames = everyFile }
    ForbiddenCallInCpsMethod { applyToFileNames = everyFile }
    ObjectOverrideOnlyNonCpsMethods { applyToFileNames = everyFile }
    ParameterOrReturnTypeNotSerializable { applyToFileNames = everyFile }
    ruleset('rulesets/unused.xml')
    ruleset('rulesets/basic.xml')
    ruleset('rulesets/imports.xml')
    NoDef { applyToFileNames = everyFile }                    // 'def' blinds the rules above
    LineLength { length = 160 }
}
