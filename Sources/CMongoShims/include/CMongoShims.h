// Nothing to call: what is done here happens before main.
