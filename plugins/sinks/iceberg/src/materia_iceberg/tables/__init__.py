"""Tables on their way into the catalog; all that needs pyiceberg is here."""
