/** Secrets travel to the engine apart from the request (docs/contract.md, Secrets of a request). */

/**
 * A copy of `entries` without nulls and secrets.
 *
 * An entry that is secret, or contains a secret, is added whole to `secrets` instead, and its key
 * there to `keys`. `reads` are the only entries whose secrets are wanted; null: all.
 */
Map withoutSecrets(Map entries, String place, Map names, Map keys, Map secrets, List reads = null) {
    Map kept = [:]
    for (Object key in entries.keySet()) {
        Object value = plain(entries.get(key))
        if (value == null) { continue }
        if (!isHeld(key, value, false, true, names)) {
            kept[key.toString()] = value
        } else if (reads == null || reads.contains(key.toString())) {
            String number = (secrets.size() + 1).toString()
            keys[place + key] = number
            secrets[number] = value
        }
    }
    return kept
}

/** A value as JSON has it; any other object, such as a plugin's, becomes its text. */
Object plain(Object value) {
    if (value instanceof Map) {
        Map copy = [:]
        for (Object key in value.keySet()) {
            copy[key.toString()] = plain(value.get(key))
        }
        return copy
    }
    if (value instanceof Collection || value instanceof Object[]) {
        List copy = []
        for (Object item in (value as List)) {
            copy.add(plain(item))
        }
        return copy
    }
    return value == null || value instanceof Number || value instanceof Boolean ? value : value.toString()
}

/**
 * Whether the value of `key` contains a secret text or number.
 *
 * `names` has a pattern of the names of secrets (`secret`), and the names of maps and lists of ids
 * that are not secret (`free`). A value contains a secret if a key above it is secret (`named`), or
 * this key is. `keyed` is false for the keys of a map in which every name may occur (`names.free`):
 * such a key makes no value secret.
 */
boolean isHeld(Object key, Object value, boolean named, boolean keyed, Map names) {
    boolean free = keyed && !named && (value instanceof Map || areIds(value)) && names.free.contains(plainName(key))
    return holdsSecret(value, named || (keyed && !free && isNamed(key, names)), !free, names)
}

/** The same for a plain value: a key inside it is secret, or a URL in it has a password or secret. */
boolean holdsSecret(Object value, boolean named, boolean keyed, Map names) {
    if (value instanceof Map) {
        return value.keySet().any { String key -> isHeld(key, value.get(key), named, keyed, names) }
    }
    if (value instanceof List) {
        return value.any { Object item -> holdsSecret(item, named, true, names) }
    }
    return value != null && value != '' && !(value instanceof Boolean) && !isHandle(value) &&
        (named || value.toString().matches('(?s).*://[^/\\s?#:]*:[^/\\s?#]+@.*') || isInQuery(value.toString(), names))
}

/** Whether a value stands in the place of a secret that is on the agent (docs/contract.md, Handles of secrets). */
boolean isHandle(Object value) {
    return value instanceof String && value.matches('towline-secret:[0-9a-f]{32}(:[A-Za-z0-9_=-]+)?')
}

boolean areIds(Object value) {
    return value instanceof List && !value.any { Object item -> !(item instanceof String && item.matches('[A-Za-z0-9_.-]+')) }
}

/**
 * Whether a text has a URL with a query parameter whose name is secret or escaped; the engine decodes
 * the name (secret.py).
 */
boolean isInQuery(String text, Map names) {
    return text.contains('://') && (text.split('[?&;]') as List).drop(1).any { String part ->
        part.matches('(?s)[^=#\\s]+=[^#\\s].*') && (part.tokenize('=')[0].contains('%') || isNamed(part.tokenize('=')[0], names))
    }
}

boolean isNamed(Object key, Map names) {
    return plainName(key).matches(names.secret)
}

String plainName(Object key) {
    String name = key.toString()
    return name.substring(name.lastIndexOf('/') + 1).toLowerCase(Locale.ROOT).replaceAll('[^a-z0-9]', '')
}
