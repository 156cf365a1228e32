"""Reference use of membrane_xai: HER2 scoring networks and their explanations."""
