"""What a person sees: each view is static HTML or PNG first, and a widget around it where it can be used."""
