"""Would the answer be another with other choices, other images, other questions?"""
