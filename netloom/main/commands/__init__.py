"""The commands of `netloom`: each reads what was asked and hands it on."""
